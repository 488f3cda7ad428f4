// Package stores pins the object stores that the tests of backup-etcd start: an
// S3 server, a Google Cloud Storage server and, in azurite/, an Azure one. It is a
// module of its own, so that the plugin's stays small.
package stores
