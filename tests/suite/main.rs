//! The pure suite: model clients and a model driver in one thread, in virtual time.

mod attachment;
mod channels;
mod client;
mod devices;
mod host;
mod line;
mod lines;
mod memory;
mod pace;
mod pictures;
mod producer;
mod properties;
mod sound;
mod video;
mod world;
