/*
 * The frame buffer's memory: see framebuffer.h.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "framebuffer.h"

#include <errno.h>
#include <unistd.h>

#include "shim_abi.h"

uint32_t framebuffer_stride(uint32_t width)
{
    uint32_t stride = (width * 4 + CARAWAY_STRIDE_ALIGN - 1) & ~(CARAWAY_STRIDE_ALIGN - 1);

    return stride % 4096 == 0 ? stride + CARAWAY_STRIDE_ALIGN : stride;
}

bool framebuffer_fit(const struct framebuffer *now, uint32_t width, uint32_t height,
                     struct framebuffer *next, bool *reallocated)
{
    if (width == 0 || height == 0 || width > CARAWAY_SIDE_MAX || height > CARAWAY_SIDE_MAX) {
        errno = EINVAL;
        return false;
    }

    uint32_t stride = framebuffer_stride(width);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t need = ((size_t)stride * height + page - 1) / page * page;

    *next = *now;
    next->width = width;
    next->height = height;
    next->stride = stride;
    *reallocated = now->memory.size < need || now->memory.size > 2 * need;
    if (!*reallocated)
        return true;
    next->id = now->id + 1;
    return memory_create(&next->memory, "caraway-framebuffer", need, MEMORY_READ_ONLY);
}
