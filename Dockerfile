# One small image with the three programs: api, worker, rollcall.
#
#   docker build -t rollcall --build-arg VERSION="$(git describe --always)" .

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
# What /healthz calls this build.
ARG VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags="-s -w -X rollcall/app.Version=${VERSION}" -o /out/ ./cmd/...

# Nothing but the programs and the certificates that TLS to SMTP, Redis and
# PostgreSQL is checked against: no shell, no package manager, no libc.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/ /usr/local/bin/
# By number, so that an orchestrator can see that it is not root.
USER 65532:65532
EXPOSE 8080 9090
CMD ["/usr/local/bin/api"]
