//! Passing bytes both ways, with as much kept as one read gives: who reads slowly slows the other side down.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes of one read of what the desktop says: half of a burst of its server.
const DOWN_BYTES: usize = 32 * 1024;

/// Bytes of one read of what the client says: mostly keys.
const UP_BYTES: usize = 4 * 1024;

/// Passes bytes until either side ends. What the desktop said last still reaches the client.
///
/// # Errors
/// Those of either socket.
pub(super) async fn pass(
    client: impl AsyncRead + AsyncWrite,
    desktop: impl AsyncRead + AsyncWrite,
) -> io::Result<()> {
    let (from_client, to_client) = tokio::io::split(client);
    let (from_desktop, to_desktop) = tokio::io::split(desktop);
    let ended = tokio::select! {
        ended = one_way::<DOWN_BYTES>(from_desktop, to_client) => ended,
        ended = one_way::<UP_BYTES>(from_client, to_desktop) => ended,
    };
    match ended {
        // Clients close their sockets without TLS's word for it.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        ended => ended,
    }
}

async fn one_way<const BYTES: usize>(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut buffer = vec![0; BYTES];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(buffer.get(..count).unwrap_or_default())
            .await?;
        // TLS keeps records until then.
        to.flush().await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    #[tokio::test]
    async fn bytes_pass_both_ways_until_one_side_ends() {
        let (mut client, inner_client) = duplex(100);
        let (mut desktop, inner_desktop) = duplex(100);
        let relay = tokio::spawn(pass(inner_client, inner_desktop));
        client.write_all(b"key").await.unwrap();
        let mut heard = [0; 3];
        desktop.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"key");
        let said = vec![7; 10_000];
        let (mut all, sent) = (Vec::new(), said.clone());
        let saying = tokio::spawn(async move {
            desktop.write_all(&sent).await.unwrap();
        });
        client.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, said, "also what was said last");
        saying.await.unwrap();
        relay.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_holds_little() {
        let (_client, inner_client) = duplex(10);
        let (mut desktop, inner_desktop) = duplex(10);
        let _relay = tokio::spawn(pass(inner_client, inner_desktop));
        let mut taken = 0;
        let filling = async {
            loop {
                taken += desktop.write(&[0; 1000]).await.unwrap();
            }
        };
        let _ = tokio::time::timeout(std::time::Duration::from_millis(100), filling).await;
        assert!(taken <= DOWN_BYTES + 100, "{taken}");
    }
}
