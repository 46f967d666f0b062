//! One desktop and its clients.
