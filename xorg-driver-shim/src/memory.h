/*
 * Sealed memory files: memory that another process can map and that nobody can shrink under a
 * reader.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef CARAWAY_MEMORY_H
#define CARAWAY_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* Who besides the creator may still map the memory writable. */
enum memory_sharing {
    MEMORY_READ_ONLY,  /* nobody: F_SEAL_FUTURE_WRITE */
    MEMORY_READ_WRITE, /* everybody who holds the descriptor */
};

struct memory {
    int fd; /* -1 when there is none */
    void *base;
    size_t size; /* bytes */
};

#define MEMORY_NONE ((struct memory){ .fd = -1 })

/* Makes and maps `size` zeroed bytes and seals the size. False, with errno set, when the system
 * refuses. */
bool memory_create(struct memory *memory, const char *name, size_t size,
                   enum memory_sharing sharing);

/* Unmaps and closes; mappings of others stay. Does nothing to MEMORY_NONE. */
void memory_destroy(struct memory *memory);

#endif
