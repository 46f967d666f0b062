/*
 * Starting and stopping Xorg for a test: see xserver.h.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "xserver.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peer.h"

#define START_TIMEOUT_MS 30000

static void write_configuration(const struct xserver *server, const char *size)
{
    char command[512];

    snprintf(command, sizeof(command), "sh tests/xorg-conf.sh %s %s > %s/xorg.conf", server->socket,
             size, server->directory);
    CHECK(system(command) == 0);
    snprintf(command, sizeof(command), "%s/conf.d", server->directory);
    CHECK(mkdir(command, 0700) == 0);
}

static void run(const struct xserver *server, const char *modules, bool reset, int display_fd)
{
    const char *xorg = getenv("XORG");
    char number[16], config[128], config_dir[128], module_path[512], log[128], output[128];

    snprintf(number, sizeof(number), "%d", display_fd);
    snprintf(config, sizeof(config), "%s/xorg.conf", server->directory);
    snprintf(config_dir, sizeof(config_dir), "%s/conf.d", server->directory);
    snprintf(module_path, sizeof(module_path), "%s,/usr/lib/xorg/modules", modules);
    snprintf(log, sizeof(log), "%s/Xorg.log", server->directory);
    snprintf(output, sizeof(output), "%s/output", server->directory);
    int fd = open(output, O_WRONLY | O_CREAT, 0600);
    dup2(fd, 1);
    dup2(fd, 2);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    /* Not -nolisten local: without the abstract socket, -displayfd does not see that a number is
     * taken. */
    execl(xorg ? xorg : "/usr/lib/xorg/Xorg", "Xorg", "-displayfd", number, "-config", config,
          "-configdir", config_dir, "-modulepath", module_path, "-logfile", log, "-nolisten", "tcp",
          reset ? "-retro" : "-noreset", (char *)NULL);
    _exit(127);
}

void xserver_start(struct xserver *server, const char *module_directory, const char *size,
                   bool reset)
{
    int display[2];

    strcpy(server->directory, "/tmp/caraway-driver-test-XXXXXX");
    CHECK(mkdtemp(server->directory));
    snprintf(server->socket, sizeof(server->socket), "%s/driver.sock", server->directory);
    write_configuration(server, size);
    CHECK(pipe(display) == 0);
    server->pid = fork();
    CHECK(server->pid >= 0);
    if (server->pid == 0) {
        close(display[0]);
        run(server, module_directory, reset, display[1]);
    }
    close(display[1]);

    struct pollfd ready = { .fd = display[0], .events = POLLIN };
    char number[8] = "";
    /* The number and the newline come one after the other. */
    for (size_t length = 0; !strchr(number, '\n') && length < sizeof(number) - 1;) {
        ssize_t got = poll(&ready, 1, START_TIMEOUT_MS) == 1
                          ? read(display[0], number + length, sizeof(number) - 1 - length)
                          : 0;
        if (got <= 0) {
            fprintf(stderr, "Xorg did not start: see %s\n", server->directory);
            exit(1);
        }
        length += (size_t)got;
    }
    snprintf(server->display, sizeof(server->display), ":%d", atoi(number));
    close(display[0]);
    setenv("DISPLAY", server->display, 1);
}

bool xserver_runs(const struct xserver *server)
{
    return waitpid(server->pid, NULL, WNOHANG) == 0;
}

static void remove_directory(const struct xserver *server)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", server->directory);
    CHECK(system(command) == 0);
}

void xserver_stop(struct xserver *server)
{
    int status;

    CHECK(kill(server->pid, SIGTERM) == 0);
    CHECK(waitpid(server->pid, &status, 0) == server->pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(access(server->socket, F_OK) != 0);
    remove_directory(server);
}

void xserver_kill(struct xserver *server)
{
    CHECK(kill(server->pid, SIGKILL) == 0);
    CHECK(waitpid(server->pid, NULL, 0) == server->pid);
    remove_directory(server);
}
