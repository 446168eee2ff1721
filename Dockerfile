# wirefan as a static binary, in an image with nothing else: docker build -t wirefan .
#   docker run --read-only --cap-drop ALL -p 9001:9001 wirefan
#   docker run -v ./wirefan.toml:/etc/wirefan/wirefan.toml:ro -p 9001:9001 wirefan broadcast --config /etc/wirefan/wirefan.toml
# Every option may be in the environment too: -e WIREFAN_MAX_MESSAGE=64k.

FROM rust:1.88-alpine3.22 AS build
# For the C in the TLS and token libraries. Alpine removes old versions, so that a pinned one would stop building.
# hadolint ignore=DL3018
RUN apk add --no-cache build-base cmake perl
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package wirefan \
    && install -D -m 0755 target/release/wirefan /out/wirefan

FROM scratch
COPY --from=build /out/wirefan /wirefan
# Whom to trust, for HTTPS servers that this one may have to ask.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY LICENSE-MIT LICENSE-APACHE /licenses/
# Nobody: it owns no file and needs none.
USER 65532:65532
# It goes over a file's `listen`: with -e WIREFAN_LISTEN= the file's counts.
ENV WIREFAN_LISTEN=0.0.0.0:9001
EXPOSE 9001
STOPSIGNAL SIGTERM
# One plain request, answered in time. Name another address where --listen does.
HEALTHCHECK --interval=15s --timeout=5s --start-period=5s --retries=3 CMD ["/wirefan", "health", "127.0.0.1:9001"]
ENTRYPOINT ["/wirefan"]
CMD ["broadcast"]
