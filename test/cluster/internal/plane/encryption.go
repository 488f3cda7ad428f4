package plane

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// encryptionFile lies with the certificates, so that Save keeps it: what it
// encrypted cannot be read without it.
func (l layout) encryptionFile() string {
	return filepath.Join(string(l.dir.PKI()), "encryption.yaml")
}

// encryption are the API server's flags for it.
func (l layout) encryption() []string {
	if !l.settings.Encrypt {
		return nil
	}
	return []string{"--encryption-provider-config=" + l.encryptionFile()}
}

// ensureEncryption writes a configuration with a key of this cluster's own,
// unless there is one.
func (c *cluster) ensureEncryption() error {
	if !c.settings.Encrypt {
		return nil
	}
	if _, err := os.Stat(c.encryptionFile()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	config := fmt.Sprintf(`apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - aescbc: {keys: [{name: key-of-2026, secret: %s}]}
  - identity: {}
`, base64.StdEncoding.EncodeToString(key))
	return os.WriteFile(c.encryptionFile(), []byte(config), 0o600)
}
