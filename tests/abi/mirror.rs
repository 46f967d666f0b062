//! What the mirror says, under the names of the header.

use super::Values;
use caraway_server::ring::layout as l;

/// Bytes of the fields that do not have 4.
pub(crate) fn widths() -> Values {
    let mut widths = Values::new();
    let mut set = |fields: &[&str], bytes: usize| {
        widths.extend(
            fields
                .iter()
                .map(|field| ((*field).to_owned(), bytes as u64)),
        );
    };
    set(&["caraway_record.type", "caraway_record.flags"], 1);
    set(&["caraway_record.more"], 2);
    set(
        &[
            "caraway_monitors_config.count",
            "caraway_monitors_config.max_allowed",
        ],
        2,
    );
    set(&["caraway_cursor.width", "caraway_cursor.height"], 2);
    set(&["caraway_cursor.hot_x", "caraway_cursor.hot_y"], 2);
    set(
        &[
            "caraway_progress.begun",
            "caraway_progress.done",
            "caraway_progress.idle_done",
        ],
        8,
    );
    set(
        &[
            "caraway_mode.framebuffer_offset",
            "caraway_mode.framebuffer_size",
        ],
        8,
    );
    set(&["caraway_framebuffer.size"], 8);
    set(&["caraway_record.bbox"], l::rect::SIZE);
    set(&["caraway_record.u.src_pos"], l::point::SIZE);
    set(
        &["caraway_monitors_config.heads"],
        l::HEADS_MAX as usize * l::head::SIZE,
    );
    set(
        &["caraway_monitors.config", "caraway_set_monitors.config"],
        l::monitors_config::SIZE,
    );
    set(&["caraway_refused.text"], l::refused::TEXT_MAX);
    widths
}

/// Every constant, size and offset of `ring::layout`.
pub(crate) fn values() -> Values {
    let mut values = Values::new();
    let mut set = |name: &str, value: u64| {
        assert!(
            values.insert(name.to_owned(), value).is_none(),
            "{name} twice"
        );
    };
    set("CARAWAY_MAGIC", u64::from(l::MAGIC));
    set("CARAWAY_ABI_VERSION", u64::from(l::ABI_VERSION));
    set("CARAWAY_SIDE_MAX", u64::from(l::SIDE_MAX));
    set("CARAWAY_HEADS_MAX", u64::from(l::HEADS_MAX));
    set("CARAWAY_CURSOR_SIDE_MAX", u64::from(l::CURSOR_SIDE_MAX));
    set("CARAWAY_CURSOR_SLOTS", u64::from(l::CURSOR_SLOTS));
    set("CARAWAY_RING_SLOTS", u64::from(l::RING_SLOTS));
    set("CARAWAY_GROUP_MAX", u64::from(l::GROUP_MAX));
    set("CARAWAY_STRIDE_ALIGN", u64::from(l::STRIDE_ALIGN));
    set("CARAWAY_DAMAGE", u64::from(l::DAMAGE));
    set("CARAWAY_FILL", u64::from(l::FILL));
    set("CARAWAY_COPY_BITS", u64::from(l::COPY_BITS));
    set("CARAWAY_MODE", u64::from(l::MODE));
    set("CARAWAY_PROGRESS_OFFSET", l::PROGRESS_OFFSET as u64);
    set("CARAWAY_STATE_OFFSET", l::STATE_OFFSET as u64);
    set("CARAWAY_MODE_OFFSET", l::MODE_OFFSET as u64);
    set("CARAWAY_MONITORS_OFFSET", l::MONITORS_OFFSET as u64);
    set("CARAWAY_CURSOR_OFFSET", l::CURSOR_OFFSET as u64);
    set(
        "CARAWAY_CURSOR_IMAGES_OFFSET",
        l::CURSOR_IMAGES_OFFSET as u64,
    );
    set("CARAWAY_CURSOR_SLOT_SIZE", l::CURSOR_SLOT_SIZE as u64);
    set("CARAWAY_RING_OFFSET", l::RING_OFFSET as u64);
    set("CARAWAY_RING_MEMFD_SIZE", l::RING_MEMFD_SIZE as u64);
    set("CARAWAY_PEER_MEMFD_SIZE", l::PEER_MEMFD_SIZE as u64);
    set("CARAWAY_WAIT_NONE", u64::from(l::WAIT_NONE));
    set("CARAWAY_WAIT_RECORD", u64::from(l::WAIT_RECORD));
    set("CARAWAY_WAIT_IDLE", u64::from(l::WAIT_IDLE));
    set("CARAWAY_MSG_HELLO", u64::from(l::MSG_HELLO));
    set("CARAWAY_MSG_FRAMEBUFFER", u64::from(l::MSG_FRAMEBUFFER));
    set("CARAWAY_MSG_REFUSED", u64::from(l::MSG_REFUSED));
    set("CARAWAY_MSG_SET_MONITORS", u64::from(l::MSG_SET_MONITORS));
    set("CARAWAY_INPUT_KEY", u64::from(l::INPUT_KEY));
    set("CARAWAY_INPUT_ABS", u64::from(l::INPUT_ABS));
    set("CARAWAY_INPUT_REL", u64::from(l::INPUT_REL));
    set("CARAWAY_INPUT_BUTTON", u64::from(l::INPUT_BUTTON));
    set("CARAWAY_INPUT_SCROLL", u64::from(l::INPUT_SCROLL));
    set("CARAWAY_INPUT_LEDS", u64::from(l::INPUT_LEDS));
    set("CARAWAY_INPUT_BATCH_MAX", l::INPUT_BATCH_MAX as u64);
    structs(&mut set);
    values
}

#[expect(clippy::too_many_lines, reason = "a flat list")]
fn structs(set: &mut impl FnMut(&str, u64)) {
    // struct caraway_rect
    set("sizeof caraway_rect", l::rect::SIZE as u64);
    set("caraway_rect.top", l::rect::TOP as u64);
    set("caraway_rect.left", l::rect::LEFT as u64);
    set("caraway_rect.bottom", l::rect::BOTTOM as u64);
    set("caraway_rect.right", l::rect::RIGHT as u64);
    // struct caraway_point
    set("sizeof caraway_point", l::point::SIZE as u64);
    set("caraway_point.x", l::point::X as u64);
    set("caraway_point.y", l::point::Y as u64);
    // struct caraway_head
    set("sizeof caraway_head", l::head::SIZE as u64);
    set("caraway_head.id", l::head::ID as u64);
    set("caraway_head.surface_id", l::head::SURFACE_ID as u64);
    set("caraway_head.width", l::head::WIDTH as u64);
    set("caraway_head.height", l::head::HEIGHT as u64);
    set("caraway_head.x", l::head::X as u64);
    set("caraway_head.y", l::head::Y as u64);
    set("caraway_head.flags", l::head::FLAGS as u64);
    // struct caraway_monitors_config
    set(
        "sizeof caraway_monitors_config",
        l::monitors_config::SIZE as u64,
    );
    set(
        "caraway_monitors_config.count",
        l::monitors_config::COUNT as u64,
    );
    set(
        "caraway_monitors_config.max_allowed",
        l::monitors_config::MAX_ALLOWED as u64,
    );
    set(
        "caraway_monitors_config.heads",
        l::monitors_config::HEADS as u64,
    );
    // struct caraway_record
    set("sizeof caraway_record", l::record::SIZE as u64);
    set("caraway_record.sequence", l::record::SEQUENCE as u64);
    set("caraway_record.type", l::record::TYPE as u64);
    set("caraway_record.flags", l::record::FLAGS as u64);
    set("caraway_record.more", l::record::MORE as u64);
    set("caraway_record.bbox", l::record::BBOX as u64);
    set("caraway_record.u.src_pos", l::record::SRC_POS as u64);
    set("caraway_record.u.fill.color", l::record::COLOR as u64);
    // struct caraway_header
    set("sizeof caraway_header", l::header::SIZE as u64);
    set("caraway_header.magic", l::header::MAGIC as u64);
    set("caraway_header.abi_version", l::header::ABI_VERSION as u64);
    set("caraway_header.ring_offset", l::header::RING_OFFSET as u64);
    set("caraway_header.ring_slots", l::header::RING_SLOTS as u64);
    set("caraway_header.record_size", l::header::RECORD_SIZE as u64);
    set(
        "caraway_header.cursor_offset",
        l::header::CURSOR_OFFSET as u64,
    );
    set(
        "caraway_header.cursor_slot_size",
        l::header::CURSOR_SLOT_SIZE as u64,
    );
    set(
        "caraway_header.cursor_slots",
        l::header::CURSOR_SLOTS as u64,
    );
    set(
        "caraway_header.cursor_side_max",
        l::header::CURSOR_SIDE_MAX as u64,
    );
    set("caraway_header.side_max", l::header::SIDE_MAX as u64);
    set("caraway_header.heads_max", l::header::HEADS_MAX as u64);
    set("caraway_header.total_size", l::header::TOTAL_SIZE as u64);
    // struct caraway_progress
    set("sizeof caraway_progress", l::progress::SIZE as u64);
    set("caraway_progress.begun", l::progress::BEGUN as u64);
    set("caraway_progress.done", l::progress::DONE as u64);
    set("caraway_progress.idle_done", l::progress::IDLE_DONE as u64);
    // struct caraway_state
    set("sizeof caraway_state", l::state::SIZE as u64);
    set("caraway_state.leds", l::state::LEDS as u64);
    set("caraway_state.blanked", l::state::BLANKED as u64);
    // struct caraway_mode
    set("sizeof caraway_mode", l::mode::SIZE as u64);
    set("caraway_mode.lock", l::mode::LOCK as u64);
    set("caraway_mode.generation", l::mode::GENERATION as u64);
    set("caraway_mode.width", l::mode::WIDTH as u64);
    set("caraway_mode.height", l::mode::HEIGHT as u64);
    set("caraway_mode.stride", l::mode::STRIDE as u64);
    set("caraway_mode.format", l::mode::FORMAT as u64);
    set(
        "caraway_mode.framebuffer_id",
        l::mode::FRAMEBUFFER_ID as u64,
    );
    set(
        "caraway_mode.framebuffer_offset",
        l::mode::FRAMEBUFFER_OFFSET as u64,
    );
    set(
        "caraway_mode.framebuffer_size",
        l::mode::FRAMEBUFFER_SIZE as u64,
    );
    // struct caraway_monitors
    set("sizeof caraway_monitors", l::monitors::SIZE as u64);
    set("caraway_monitors.lock", l::monitors::LOCK as u64);
    set("caraway_monitors.config", l::monitors::CONFIG as u64);
    // struct caraway_cursor
    set("sizeof caraway_cursor", l::cursor::SIZE as u64);
    set("caraway_cursor.lock", l::cursor::LOCK as u64);
    set("caraway_cursor.shape", l::cursor::SHAPE as u64);
    set("caraway_cursor.x", l::cursor::X as u64);
    set("caraway_cursor.y", l::cursor::Y as u64);
    set("caraway_cursor.visible", l::cursor::VISIBLE as u64);
    set("caraway_cursor.width", l::cursor::WIDTH as u64);
    set("caraway_cursor.height", l::cursor::HEIGHT as u64);
    set("caraway_cursor.hot_x", l::cursor::HOT_X as u64);
    set("caraway_cursor.hot_y", l::cursor::HOT_Y as u64);
    set("caraway_cursor.slot", l::cursor::SLOT as u64);
    // struct caraway_peer
    set("sizeof caraway_peer", l::peer::SIZE as u64);
    set("caraway_peer.waiting", l::peer::WAITING as u64);
    // struct caraway_hello
    set("sizeof caraway_hello", l::hello::SIZE as u64);
    set("caraway_hello.type", l::hello::TYPE as u64);
    set("caraway_hello.magic", l::hello::MAGIC as u64);
    set("caraway_hello.abi_version", l::hello::ABI_VERSION as u64);
    set("caraway_hello.ring_size", l::hello::RING_SIZE as u64);
    set(
        "caraway_hello.framebuffer_id",
        l::hello::FRAMEBUFFER_ID as u64,
    );
    // struct caraway_framebuffer
    set("sizeof caraway_framebuffer", l::framebuffer::SIZE as u64);
    set("caraway_framebuffer.type", l::framebuffer::TYPE as u64);
    set(
        "caraway_framebuffer.framebuffer_id",
        l::framebuffer::FRAMEBUFFER_ID as u64,
    );
    set("caraway_framebuffer.size", l::framebuffer::BYTES as u64);
    // struct caraway_refused
    set("sizeof caraway_refused", l::refused::SIZE as u64);
    set("caraway_refused.type", l::refused::TYPE as u64);
    set("caraway_refused.length", l::refused::LENGTH as u64);
    set("caraway_refused.text", l::refused::TEXT as u64);
    // struct caraway_set_monitors
    set("sizeof caraway_set_monitors", l::set_monitors::SIZE as u64);
    set("caraway_set_monitors.type", l::set_monitors::TYPE as u64);
    set(
        "caraway_set_monitors.config",
        l::set_monitors::CONFIG as u64,
    );
    set("caraway_set_monitors.dpi", l::set_monitors::DPI as u64);
    // struct caraway_input
    set("sizeof caraway_input", l::input::SIZE as u64);
    set("caraway_input.type", l::input::TYPE as u64);
    set("caraway_input.a", l::input::A as u64);
    set("caraway_input.b", l::input::B as u64);
}
