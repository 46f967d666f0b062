//! The display pipeline: reduce, compare, classify, pace, send.
