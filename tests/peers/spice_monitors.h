/*
 * The client's monitors: what it asks the desktop for, and what it is told of.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef PEERS_SPICE_MONITORS_H
#define PEERS_SPICE_MONITORS_H

/* `wait-agent TIMEOUT_MS`: until the desktop says that its monitors may be asked for. */
void do_wait_agent(char **words, int count);

/* `monitors ID:WxH+X+Y[/MMxMM]...`: asks for these at once, and for no others. */
void do_monitors(char **words, int count);

/* `heads`: MONITORS_CONFIG as it came last, and how many primary surfaces there were. */
void do_heads(char **words, int count);

#endif
