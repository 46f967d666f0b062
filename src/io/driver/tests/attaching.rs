//! The hello exchange, and each way in which it fails.

use std::os::fd::OwnedFd;

use super::producer::header;
use super::*;

#[tokio::test]
async fn one_sentence_tells_why_there_is_no_attachment() {
    let producer = Producer::new();
    let patched = |offset: usize, value: u32| {
        let mut datagram = Producer::hello().encode();
        datagram[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        datagram
    };
    let version = "driver speaks ABI 3, this server 2: install matching versions";
    let (socket, said) = producer
        .refusal(
            &patched(layout::hello::ABI_VERSION, layout::ABI_VERSION + 1),
            &producer.descriptors(),
        )
        .await;
    assert_eq!(said, version);
    assert_eq!(
        message(&socket),
        ControlMessage::Refused(version.into()),
        "both sides say it"
    );
    let cases: [(Vec<u8>, &str); 5] = [
        (
            patched(layout::hello::MAGIC, 7),
            "the peer is no Caraway driver (magic 0x00000007)",
        ),
        (
            ControlMessage::Refused("busy".into()).encode(),
            "the driver refused this server: busy",
        ),
        (
            patched(0, 9),
            "the driver sent a wrong message: message type 9 is unknown",
        ),
        (
            vec![1; 400],
            "the driver's message cannot be received: the message is longer than 257 bytes",
        ),
        (
            ControlMessage::SetMonitors {
                heads: Vec::new(),
                dpi: 0,
            }
            .encode(),
            "the driver sent a message out of place",
        ),
    ];
    for (datagram, sentence) in cases {
        assert_eq!(
            producer.refusal(&datagram, &producer.descriptors()).await.1,
            sentence
        );
    }
    let hello = Producer::hello().encode();
    let four = &producer.descriptors()[..4];
    let (_, said) = producer.refusal(&hello, four).await;
    assert_eq!(
        said,
        "the driver's hello carries 4 descriptors instead of 5"
    );
}

#[tokio::test]
async fn descriptors_of_the_wrong_kind_are_refused() {
    let producer = Producer::new();
    let hello = Producer::hello().encode();
    let whats = [
        "ring",
        "peer page",
        "eventfd",
        "input socket",
        "frame buffer",
    ];
    for (index, what) in whats.into_iter().enumerate() {
        let wrong: [OwnedFd; 4] = [
            File::open("/dev/zero").unwrap().into(),
            nix::unistd::pipe().unwrap().0,
            memfd(12345).into(),
            std::os::unix::net::UnixStream::pair().unwrap().0.into(),
        ];
        for (which, fd) in wrong.into_iter().enumerate() {
            if (what, which) == ("frame buffer", 2) {
                continue; // A sealed memfd is one; whether a mode fits is asked later.
            }
            let mut descriptors = producer.descriptors();
            descriptors[index] = fd;
            let (_, said) = producer.refusal(&hello, &descriptors).await;
            let start = format!("the driver's {what} cannot be used: ");
            assert!(said.starts_with(&start), "{what} {which}: {said}");
        }
    }
}

#[tokio::test]
async fn every_field_of_the_header_counts() {
    let producer = Producer::new();
    let hello = Producer::hello().encode();
    for (index, field) in header().into_iter().enumerate() {
        write_u32(&producer.ring, index * 4, field + 1);
        let (_, said) = producer.refusal(&hello, &producer.descriptors()).await;
        let end = format!("{} instead of {field}", field + 1);
        assert!(
            said.starts_with("the driver's ring has ") && said.ends_with(&end),
            "{said}"
        );
        write_u32(&producer.ring, index * 4, field);
    }
    producer.attach().await;
}

#[tokio::test]
async fn a_missing_or_silent_driver_is_given_up() {
    let producer = Producer::new();
    let silent = attach::connect(&producer.path, SHORT).await.unwrap_err();
    assert_eq!(
        silent.to_string(),
        "the driver did not say hello within 0.05 s"
    );
    let missing = producer.path.with_extension("none");
    let error = attach::connect(&missing, LONG)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("connecting to the driver at "), "{error}");
    let full: Vec<_> = std::iter::from_fn(|| SeqPacket::connect(&producer.path).ok())
        .take(100)
        .collect();
    assert!(full.len() < 100, "the backlog fills");
    let error = attach::connect(&producer.path, SHORT).await.unwrap_err();
    assert!(matches!(error, AttachError::Deadline(_)), "{error}");
    assert!(attach::connect(&missing, LONG).await.is_err());
}
