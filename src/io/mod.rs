//! Sockets and clocks: drives everything below.

pub mod agent;
mod clock;
mod complaints;
mod connection;
pub mod control;
pub mod cores;
mod door;
pub mod driver;
mod folder_stream;
pub mod gateway;
#[cfg(test)]
mod heard_log;
pub mod host;
pub mod kerberos;
#[cfg(feature = "kerberos")]
pub mod kerberos_process;
mod kernel;
pub mod key_pool;
pub mod listen;
pub mod login;
pub mod metrics;
pub mod program;
mod refusals;
pub mod sasl;
pub mod screen_loop;
pub mod shared_folders;
pub mod sound;
mod tidiness;
pub mod tls;
mod transport;
mod turn;
mod unsent;
mod upload_folder;
pub mod uploads;
pub mod x11_clipboard;
pub mod x11_display;
