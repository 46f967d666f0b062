//! The pure suite: model clients and a model driver in one thread, in virtual time.

mod agent;
mod attachment;
mod channels;
mod client;
mod clipboard;
mod devices;
mod folders;
mod host;
mod line;
mod lines;
mod memory;
mod pace;
mod pictures;
mod producer;
mod properties;
mod resize;
mod rest;
mod sound;
mod uploads;
mod video;
mod watching;
mod words;
mod world;
