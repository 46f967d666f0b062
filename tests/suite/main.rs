//! The pure suite: model clients and a model driver in one thread, in virtual time.

mod attachment;
mod client;
mod host;
mod line;
mod pictures;
mod producer;
mod properties;
mod world;
