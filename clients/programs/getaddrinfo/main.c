/* Looks up the names on its standard input with getaddrinfo, as most programs do. */

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void *lookup(void *line)
{
    char *number = line, *name = strchr(line, ' ');
    *name++ = '\0';
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *all;
    int err = getaddrinfo(name, NULL, &hints, &all);
    if (err != 0) {
        printf("%s - %s\n", number, gai_strerror(err));
        free(line);
        return NULL;
    }
    char text[64] = "- no IPv4 address";
    for (struct addrinfo *a = all; a != NULL; a = a->ai_next) {
        if (a->ai_family == AF_INET) {
            inet_ntop(AF_INET, &((struct sockaddr_in *)a->ai_addr)->sin_addr, text, sizeof text);
            break;
        }
    }
    freeaddrinfo(all);
    printf("%s %s\n", number, text);
    free(line);
    return NULL;
}

int main(void)
{
    char line[512];
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        pthread_t thread;
        if (strchr(line, ' ') == NULL || pthread_create(&thread, NULL, lookup, strdup(line)) != 0)
            return 1;
        pthread_detach(thread);
    }
    return 0;
}
