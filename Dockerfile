# One small image with the three programs: api, worker, rollcall.
#
#   docker build -t rollcall --build-arg VERSION="$(git describe --always)" .

# The digest of the index for all platforms, Go 1.26.7, from the official images' own
# inventory (github.com/docker-library/repo-info, repos/golang/remote/1.26-bookworm.md).
# Update both together.
FROM golang:1.26-bookworm@sha256:38f30937ff0751bd8c202e53556168b9093302ee6d591e7e65a9d1b84a9d360c AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
# The version that /healthz reports.
ARG VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags="-s -w -X rollcall/app.Version=${VERSION}" -o /out/ ./cmd/...

# Only the programs and the CA certificates for TLS to SMTP, Redis and PostgreSQL: no
# shell, no package manager, no libc, and no base image. Times are UTC, so no time zones.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/ /usr/local/bin/
# Numeric, so that an orchestrator can verify that it is not root.
USER 65532:65532
EXPOSE 8080 9090
CMD ["/usr/local/bin/api"]
