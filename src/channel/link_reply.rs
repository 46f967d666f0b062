//! The reply that takes a client on, with what the server can do on each channel.

use crate::wire::caps::{self, Caps};
use crate::wire::link::{ChannelType, LinkCode, LinkMessage, LinkReply, PublicKey};

/// A reply that takes the client on.
pub(super) fn reply(
    key: PublicKey,
    (authentication, decodes_opus): (u32, bool),
    message: &LinkMessage,
) -> LinkReply {
    LinkReply {
        error: LinkCode::OK,
        key,
        common_caps: Caps::of(&[
            caps::common::AUTH_SELECTION,
            authentication,
            caps::common::MINI_HEADER,
        ]),
        channel_caps: channel_caps(message.channel_type, decodes_opus),
    }
}

/// What the server can do on each channel.
fn channel_caps(channel_type: ChannelType, decodes_opus: bool) -> Caps {
    match channel_type {
        ChannelType::MAIN => Caps::of(&[
            caps::main::NAME_AND_UUID,
            caps::main::AGENT_CONNECTED_TOKENS,
        ]),
        ChannelType::DISPLAY => Caps::of(&[
            caps::display::MONITORS_CONFIG,
            caps::display::STREAM_REPORT,
            caps::display::PREF_COMPRESSION,
        ]),
        ChannelType::INPUTS => Caps::of(&[caps::inputs::KEY_SCANCODE]),
        ChannelType::PLAYBACK => Caps::of(&[caps::playback::VOLUME, caps::playback::OPUS]),
        ChannelType::RECORD if decodes_opus => {
            Caps::of(&[caps::record::VOLUME, caps::record::OPUS])
        }
        ChannelType::RECORD => Caps::of(&[caps::record::VOLUME]),
        _ => Caps::default(),
    }
}
