//! Messages of clients that are nearly right, which is where mistakes are.

use super::viewer::Answer;
use crate::base::script::Script;
use crate::wire::header::write_message;
use crate::wire::link::ChannelType;
use crate::wire::{Encode, Message};

/// Scan codes with prefixes, breaks, lock keys and what is none.
const SCAN_BYTES: [u8; 20] = [
    0x1e, 0x9e, 0xe0, 0xe1, 0x1d, 0x9d, 0x45, 0xc5, 0x3a, 0xba, 0x46, 0xc6, 0x71, 0x72, 0xf1, 0xf2,
    0x2a, 0x36, 0, 0xff,
];

/// The number and the body of a message; at times shorter or longer than it should be.
pub(super) fn message(channel_type: ChannelType, script: &mut Script<'_>) -> (u16, Vec<u8>) {
    let which = script.u8();
    let (number, mut body) = if which < 40 {
        common(script)
    } else {
        match channel_type {
            ChannelType::MAIN => main(which, script),
            ChannelType::DISPLAY => display(which, script),
            ChannelType::INPUTS => input(which, script),
            ChannelType::RECORD => record(which, script),
            ChannelType::WEBDAV => folder(which, script),
            _ => (script.u16(), script.bytes(8).to_vec()),
        }
    };
    match script.u8() {
        255 => body.push(9),
        254 => drop(body.pop()),
        _ => {}
    }
    (number, body)
}

fn common(script: &mut Script<'_>) -> (u16, Vec<u8>) {
    let number = script.number();
    let timestamp = [0; 8];
    match script.u8() % 6 {
        0 => (1, number.to_le_bytes().to_vec()),
        1 | 2 => (2, Vec::new()),
        3 | 4 => (3, [&number.to_le_bytes()[..], &timestamp].concat()),
        _ => (script.pick(&[4, 5, 6, 7, 100]), script.bytes(12).to_vec()),
    }
}

fn main(which: u8, script: &mut Script<'_>) -> (u16, Vec<u8>) {
    match which % 7 {
        0 => (
            105,
            script.pick(&[1_u16, 2, 3, 0, 4]).to_le_bytes().to_vec(),
        ),
        1 => (104, Vec::new()),
        2 => (107, script.bytes(20).to_vec()),
        3 => (106, script.number().to_le_bytes().to_vec()),
        4 | 5 => (107, agent(script)),
        _ => (101 + u16::from(script.u8() % 13), script.bytes(8).to_vec()),
    }
}

/// A whole message to the agent, whose size is true at most times: VDAgentMessage, and a body of numbers.
fn agent(script: &mut Script<'_>) -> Vec<u8> {
    let kind = u32::from(script.u8() % 19);
    let body: Vec<u8> = (0..script.u8() % 12)
        .flat_map(|_| script.number().to_le_bytes())
        .collect();
    let lies = [0, 0, 0, 0, 0, 1, u32::MAX, 1 << 31];
    let size = u32::try_from(body.len()).unwrap_or(0);
    let size = size.wrapping_add(script.pick(&lies));
    let (protocol, opaque) = (1_u32.to_le_bytes(), [0; 8]);
    let (kind, size) = (kind.to_le_bytes(), size.to_le_bytes());
    [&protocol[..], &kind, &opaque, &size, &body].concat()
}

/// MODE, START_MARK and DATA; and other things.
fn record(which: u8, script: &mut Script<'_>) -> (u16, Vec<u8>) {
    let time = script.number().to_le_bytes();
    match which % 4 {
        0 => (102, [&time[..], &[script.u8() % 5, 0]].concat()),
        1 => (103, time.to_vec()),
        2 => {
            let samples = vec![script.u8(); usize::from(script.u16()) % 4000];
            (101, [&time[..], &samples].concat())
        }
        _ => (101 + u16::from(script.u8() % 5), script.bytes(8).to_vec()),
    }
}

/// Frames of the mux, of connections that there are and that there are not; and other things.
fn folder(which: u8, script: &mut Script<'_>) -> (u16, Vec<u8>) {
    let id = i64::from(script.u8() % 6);
    match which % 4 {
        0..=2 => {
            let (count, lie) = (u16::from(script.u8()), script.pick(&[0, 0, 0, 1, 0xff00]));
            let size = count.wrapping_add(lie).to_le_bytes();
            let bytes = vec![script.u8(); usize::from(count)];
            (101, [&id.to_le_bytes()[..], &size, &bytes].concat())
        }
        _ => (
            script.pick(&[101, 102, 201, 202]),
            script.bytes(12).to_vec(),
        ),
    }
}

fn display(which: u8, script: &mut Script<'_>) -> (u16, Vec<u8>) {
    match which % 3 {
        0 => (101, [[script.u8(); 7], [script.u8(); 7]].concat()),
        1 => (103, vec![script.u8()]),
        _ => (101 + u16::from(script.u8() % 6), script.bytes(32).to_vec()),
    }
}

fn input(which: u8, script: &mut Script<'_>) -> (u16, Vec<u8>) {
    let buttons = script
        .pick(&[0_u16, 1, 2, 4, 7, 0x20, 0x40, 0x60, 0xffff])
        .to_le_bytes();
    match which % 8 {
        0 => {
            let count = usize::from(script.u8() % 12);
            let codes = (0..count).map(|_| script.pick(&SCAN_BYTES));
            (104, codes.collect())
        }
        1 | 2 => {
            let number = script.pick(&[101, 102]);
            let code = [
                script.pick(&SCAN_BYTES),
                script.pick(&SCAN_BYTES),
                0,
                script.u8(),
            ];
            (number, code.to_vec())
        }
        3 => (103, vec![script.u8(), script.u8() / 255]),
        4 => {
            let (dx, dy) = (script.number(), script.number());
            (
                111,
                [&dx.to_le_bytes()[..], &dy.to_le_bytes(), &buttons].concat(),
            )
        }
        5 => {
            let (x, y, id) = (script.number(), script.number(), script.u8() % 3);
            (
                112,
                [&x.to_le_bytes()[..], &y.to_le_bytes(), &buttons, &[id]].concat(),
            )
        }
        6 => (113, [&[script.u8() % 9][..], &buttons].concat()),
        _ => (114, [&[script.u8() % 9][..], &buttons].concat()),
    }
}

/// Appends an answer as a message.
pub(super) fn write_answer(answer: &Answer, mini_header: bool, out: &mut Vec<u8>) {
    match answer {
        Answer::AckSync(sync) => write(sync, mini_header, out),
        Answer::Ack => write(&crate::wire::common::Ack {}, mini_header, out),
        Answer::Pong(pong) => write(pong, mini_header, out),
    }
}

fn write<M: Message>(message: &M, mini_header: bool, out: &mut Vec<u8>) {
    write_message(out, mini_header, 1, M::TYPE, |writer| {
        Encode::encode(message, writer)
    });
}
