"""Which system calls a container may make: profiles as data, and the BPF programs made from them.

`profile` is the data and the reader of files, `default_profile` what RuntimeDefault stands for, `numbers`
the kernel's tables, `program` the compiler. `filters` chooses for a container and remembers what was
compiled; the shim loads it (`shim.credentials`).
"""
