/* Looks up the names on its standard input with c-ares and the options that it has by default.
   With --version it prints the version of the library. */

#include <arpa/inet.h>
#include <ares.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void done(void *number, int status, int timeouts, struct ares_addrinfo *all)
{
    (void)timeouts;
    char text[64] = "- no IPv4 address";
    if (status != ARES_SUCCESS)
        snprintf(text, sizeof text, "- %s", ares_strerror(status));
    else
        for (struct ares_addrinfo_node *a = all->nodes; a != NULL; a = a->ai_next)
            if (a->ai_family == AF_INET) {
                inet_ntop(AF_INET, &((struct sockaddr_in *)a->ai_addr)->sin_addr, text, sizeof text);
                break;
            }
    printf("%s %s\n", (char *)number, text);
    if (all != NULL)
        ares_freeaddrinfo(all);
    free(number);
}

static void begin(ares_channel channel, char *line)
{
    struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    char *name = strchr(line, ' ');
    if (name == NULL)
        return;
    *name++ = '\0';
    ares_getaddrinfo(channel, name, NULL, &hints, done, strdup(line));
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        puts(ares_version(NULL));
        return 0;
    }
    ares_channel channel;
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS || ares_init(&channel) != ARES_SUCCESS)
        return 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    static char lines[1 << 16];
    size_t length = 0;
    for (;;) {
        ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
        int wanted = ares_getsock(channel, sockets, ARES_GETSOCK_MAXNUM);
        struct pollfd fds[ARES_GETSOCK_MAXNUM + 1] = { { .fd = STDIN_FILENO, .events = POLLIN } };
        int n = 1;
        for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
            short events = (ARES_GETSOCK_READABLE(wanted, i) ? POLLIN : 0) | (ARES_GETSOCK_WRITABLE(wanted, i) ? POLLOUT : 0);
            if (events != 0)
                fds[n++] = (struct pollfd){ .fd = sockets[i], .events = events };
        }
        struct timeval most = { .tv_usec = 100 * 1000 }, *wait = ares_timeout(channel, &most, &most);
        poll(fds, n, wait->tv_sec * 1000 + wait->tv_usec / 1000 + 1);
        for (int i = 1; i < n; i++)
            ares_process_fd(channel, fds[i].revents & (POLLIN | POLLERR | POLLHUP) ? fds[i].fd : ARES_SOCKET_BAD,
                            fds[i].revents & POLLOUT ? fds[i].fd : ARES_SOCKET_BAD);
        ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* what is late */
        if (fds[0].revents == 0)
            continue;
        ssize_t got = read(STDIN_FILENO, lines + length, sizeof lines - 1 - length);
        if (got <= 0)
            return 0;
        lines[length += got] = '\0';
        char *line = lines, *end;
        for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
            *end = '\0';
            begin(channel, line);
        }
        length = strlen(line);
        memmove(lines, line, length);
    }
}
