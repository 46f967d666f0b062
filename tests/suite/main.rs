//! The pure suite: model clients and a model driver in one thread, in virtual time.

mod producer;
