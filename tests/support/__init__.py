"""What tests share: the tiny study, the command in this process, the command as a process."""
