# CoreDNS with ttlfloor, from scratch: no base image is pulled and no command is
# run. Each archive has the root file system of one architecture; "make rootfs"
# writes them, and "make image" builds this with buildah. With docker:
#
#   make rootfs
#   docker buildx build --platform linux/amd64,linux/arm64 \
#       --build-arg VERSION=... --build-arg REVISION=... --build-arg CREATED=... .
FROM scratch

ARG TARGETARCH
# ADD unpacks the archive. COPY would do for the files, but not everywhere for
# the capability with which coredns binds port 53 when it does not run as root.
ADD bin/image/rootfs-${TARGETARCH}.tar /

ARG VERSION
ARG REVISION
ARG CREATED
LABEL org.opencontainers.image.title="coredns-ttlfloor" \
      org.opencontainers.image.description="CoreDNS with all of its plugins and ttlfloor" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/ttlfloor/ttlfloor" \
      org.opencontainers.image.documentation="https://github.com/ttlfloor/ttlfloor/blob/main/docs/operations.md" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"

# In numbers, since Kubernetes cannot see otherwise that it is not root.
USER 65532:65532
EXPOSE 53/udp 53/tcp
ENTRYPOINT ["/coredns"]
