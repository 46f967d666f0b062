//! Showing a sentence to a client that gets no desktop.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::connection::{Client, ConnectionError};
use crate::gateway::notice::NoticeChannel;

/// Time to read it; then the client is sent away.
const SHOWN_FOR: Duration = Duration::from_secs(120);

/// Serves one channel of the client until it goes.
///
/// # Errors
/// The client's, and those of its socket.
pub(super) async fn show(
    mut client: Client,
    sentence: &str,
    connection_id: u32,
) -> Result<(), ConnectionError> {
    let linked = client.finish().await?;
    let (channel_type, mini_header) = (linked.message.channel_type, linked.mini_header);
    let mut channel = NoticeChannel::new(channel_type, mini_header, sentence, connection_id);
    channel.push(&linked.leftover)?;
    let mut buffer = [0; 1024];
    let serving = async {
        loop {
            client.stream.write_all(&channel.take_output()).await?;
            client.stream.flush().await?;
            let count = match client.stream.read(&mut buffer).await {
                // Clients close their sockets without TLS's word for it.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => 0,
                read => read?,
            };
            if count == 0 {
                return Ok::<_, ConnectionError>(());
            }
            channel.push(buffer.get(..count).unwrap_or_default())?;
        }
    };
    // Whoever is still there has read it.
    timeout(SHOWN_FOR, serving).await.unwrap_or(Ok(()))
}
