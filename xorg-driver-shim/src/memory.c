/*
 * Sealed memory files: see memory.h. The seals are set once the creator has mapped the memory,
 * because F_SEAL_FUTURE_WRITE refuses every later writable mapping, the creator's own included.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

bool memory_create(struct memory *memory, const char *name, size_t size,
                   enum memory_sharing sharing)
{
    int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

    *memory = MEMORY_NONE;
    if (sharing == MEMORY_READ_ONLY)
        seals |= F_SEAL_FUTURE_WRITE;

    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return false;

    void *base = MAP_FAILED;
    if (ftruncate(fd, (off_t)size) == 0)
        base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        int reason = errno;
        close(fd);
        errno = reason;
        return false;
    }

    *memory = (struct memory){ .fd = fd, .base = base, .size = size };
    if (fcntl(fd, F_ADD_SEALS, seals) != 0) {
        int reason = errno;
        memory_destroy(memory);
        errno = reason;
        return false;
    }
    return true;
}

void memory_destroy(struct memory *memory)
{
    if (memory->base)
        munmap(memory->base, memory->size);
    if (memory->fd >= 0)
        close(memory->fd);
    *memory = MEMORY_NONE;
}
