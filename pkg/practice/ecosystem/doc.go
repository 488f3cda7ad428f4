// Package ecosystem holds the practices about the systems around Kubernetes:
// service meshes, serverless and machine learning.
package ecosystem
