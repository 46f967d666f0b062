/*
 * The clipboard of spice_peer: what it offers, and what the other side has offered it.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef PEER_CLIPBOARD_H
#define PEER_CLIPBOARD_H

#include <spice-client.h>

/* Listens to a new main channel; what was before is forgotten. */
void peer_clipboard_watch(SpiceChannel *main);

/* clip-own SELECTION TYPE FILE: offers the file's content as that type (vd_agent.h's numbers). */
void do_clip_own(char **words, int count);
/* clip-release SELECTION */
void do_clip_release(char **words, int count);
/* clip-silent 0|1: whether requests get no answer. */
void do_clip_silent(char **words, int count);
/* clip-wait SELECTION TYPE TIMEOUT_MS: until the other side offers that type; at most once for each offer. */
void do_clip_wait(char **words, int count);
/* clip-paste SELECTION TYPE FILE TIMEOUT_MS: writes what comes into the file; answers "type", "bytes" and "took_us". */
void do_clip_paste(char **words, int count);
/* clip-stats: offers, releases and requests that came; "offered" is the bits of types on offer per selection. */
void do_clip_stats(char **words, int count);

#endif
