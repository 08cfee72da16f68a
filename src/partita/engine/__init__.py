"""The shell around the machine: mailbox, commit, dispatch. The only place where deciding meets doing."""
