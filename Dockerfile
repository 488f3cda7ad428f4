# The plugin as an image, for `kubectl prod backup-etcd schedule`. Releases build
# it for each platform from the binaries of the same release.
FROM gcr.io/distroless/static-debian12:nonroot
ARG TARGETPLATFORM
COPY ${TARGETPLATFORM}/kubectl-prod /usr/local/bin/kubectl-prod
ENTRYPOINT ["/usr/local/bin/kubectl-prod"]
