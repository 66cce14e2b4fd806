//! Seals a process: what user code may still do to the machine it runs on.
