//! The operating system: shared memory, file descriptors, socket options. The only unsafe code.
