//! Tests against a real X server.
