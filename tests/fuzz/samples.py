"""Small valid inputs of every format, from which the mutations start."""

from __future__ import annotations

import gzip
import json
import zipfile

import numpy as np

from tests.entry_points.readers import SETS, Rows
from tests.support.data_files import idx, npy, npz, random_arrays, text, zipped

ROWS = Rows("rect", 1, 1, 1)
"""Two training rows and one test row: inputs of a few kilobytes that readers accept."""
CONTENT = random_arrays(ROWS)
TEST_TEXT = text(*CONTENT[2:], "%g", " ")
SHAPE = (3, 4, 5)  # of the images in an IDX file
WRONG = np.array([True, False, False, True, True, False, False, False, False, True])  # rows

TEXTS = [
    text(*CONTENT[:2], *layout)
    for layout in ((), ("%16.7e", "", "\r\n"), ("%g", " "), ("%g", ","), ("%.1f", "\t"))
]  # the training file in several layouts

_MEMBERS = {SETS["rect"].train_member: TEXTS[2], SETS["rect"].test_member: TEST_TEXT}
ARCHIVES = [
    zipped(_MEMBERS),
    zipped(_MEMBERS, zipfile.ZIP_STORED),
    zipped({f"a/{name}": data for name, data in _MEMBERS.items()} | {"a/README": b"x"}),
    zipped(_MEMBERS | {SETS["rect"].train_member: TEXTS[0]}),
]

_KEYED = dict(zip(("X", "Y", "Xtest", "Ytest"), CONTENT, strict=True))
ARRAYS = [
    npz({key: order(array.astype(dtype)) for key, array in _KEYED.items()})
    for order in (np.ascontiguousarray, np.asfortranarray)
    for dtype in ("u1", "?", ">f4")
]

_ABOUT = {
    "name": "rect",
    "origin": "original",
    "sha256": "d" * 64,
    "source": "",
    "trust": "verified",
}
_PROVENANCE = np.frombuffer(json.dumps(_ABOUT).encode(), dtype=np.uint8)
CACHE_ENTRIES = [npz(_KEYED | {"dae": _PROVENANCE})]
CACHE_POINTERS = [b'{"entry": "rect-original-1.npz", "judgement": "a test"}']

_IMAGES = idx(np.arange(60, dtype=np.uint8).reshape(SHAPE))
_LABELS = idx(np.arange(10, dtype=np.uint8))
IMAGES = [_IMAGES, gzip.compress(_IMAGES, mtime=0)]
LABELS = [_LABELS, gzip.compress(_LABELS, mtime=0)]

OWN_TABLES = [b"a,b,y\n" + b".25,1e-3,one\n.5,1,two\n" * 4]
OWN_ARRAYS = [npz({"X": np.linspace(0, 1, 24).reshape(8, 3), "y": np.arange(8) % 2})]

EXPERIMENTS = [
    b"""\
# comment
dataset: 'rect'
model: &m {hidden: [30, 20], tied: true}
corruption: {kind: salt-and-pepper, destruction: .25}
pretrain: {learning_rate: 1e-1, epochs: 2, batch_size: 20, loss: cross-entropy}
finetune: {learning_rate: 0.1, max_epochs: 3, patience: 2, batch_size: 20}
seed: 7
subset: ~
""",
    b"""\
dataset: convex
model: {hidden: [9]}
corruption: {kind: gaussian, sigma: 0.5}
pretrain: {learning_rate: 0.1, epochs: 2}
finetune:
  {learning_rate: 0.1, max_epochs: 3, patience: 2}
""",
]
STUDIES = [
    b"""\
title: a study
paper: "none"
shared:
  model: {hidden: [30, 20]}
  pretrain: {learning_rate: 0.1, epochs: 2}
  finetune: {learning_rate: 0.1, max_epochs: 3, patience: 2}
per_dataset: {convex: {seed: 2, pretrain: {epochs: 7}}}
"""
]
OVERRIDE_END = "\x1e"
OVERRIDES = [
    OVERRIDE_END.join(arguments).encode()
    for arguments in (
        ["pretrain.learning_rate=1e-3", "model.hidden=[500, 500]", "seed=3"],
        ["model={tied: false}", "corruption.destruction=.25", "dataset=convex"],
        ["subset={train: 50, valid: 5, test: 5}", 'corruption.kind="salt-and-pepper"', "seed=4"],
    )
]  # arguments of --set, joined into one input

SEARCHES = [
    b"""\
cell,search,trial,sampler,sampler_seed,state,units,valid_error_percent,valid_wrong,n_valid,\
best_epoch,epochs,weights,minutes,dataset,data_origin,data_sha256,seed,device,engine,versions,\
commit,config_sha256,error
a-sda-3,0a1b,1,tpe,0,complete,9,2.50,50,2000,8,38,,1.5,convex,,,,,,,,,
a-sda-3,0a1b,2,tpe,0,pruned,"[4, 2]",,,,,,,,,,,,,,,,,
b-sda-3,2c3d,1,random,7,failed,,,,,,,,,,,,,,,,,,"said ""no"", twice"
"""
]
COMPARISONS = [
    b"""\
dataset,data_sha256,cell_a,cell_b,model_a,model_b,seed,run_a,run_b,n_test,only_a_wrong,\
only_b_wrong,error_a_percent,error_b_percent,p_value,significant,p_holm
convex,dddd,convex-0,convex-25,SAA-3,SdA-3,0,a,b,10,3,1,40.00,20.00,.625,no,1
"""
]
SAVED_ROWS = [b"run,n_test,n_wrong,bits\n", b"run,n_test,n_wrong,bits\nconvex-1,10,4,mEA=\n"]
WRONG_ROWS = [npy(np.packbits(WRONG))]
