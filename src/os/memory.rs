//! Memory that was freed, and that the allocator keeps for later.

#![expect(unsafe_code, reason = "a function of the allocator")]

/// Gives the system back what the allocator keeps and nothing uses. Takes a millisecond or so, and what is needed again
/// is had page by page.
pub fn give_back() {
    // glibc keeps all below the end of its heap, for ever: 20 MB after a page of pictures (measured).
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called at any time, from any thread, with any number.
    unsafe {
        libc::malloc_trim(0);
    }
}
