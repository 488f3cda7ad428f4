package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const day = 24 * time.Hour

// certificates are the two that all TLS Secrets of a fleet hold: one for years
// and one about to expire.
type certificates struct{ sound, expiring keyPair }

// keyPair is PEM.
type keyPair struct{ certificate, key []byte }

func newCertificates() (certificates, error) {
	sound, err := newKeyPair(3650 * day)
	if err != nil {
		return certificates{}, err
	}
	expiring, err := newKeyPair(5 * day)
	return certificates{sound: sound, expiring: expiring}, err
}

func (c certificates) secret(t team) *corev1.Secret {
	pair := c.sound
	if t.careless() {
		pair = c.expiring
	}
	return &corev1.Secret{
		ObjectMeta: t.meta(t.name + "-tls"),
		Type:       corev1.SecretTypeTLS,
		Data:       map[string][]byte{corev1.TLSCertKey: pair.certificate, corev1.TLSPrivateKeyKey: pair.key},
	}
}

func newKeyPair(validity time.Duration) (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, fmt.Errorf("making a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "*.example.com"},
		DNSNames:     []string{"*.example.com"},
		NotBefore:    time.Now().Add(-day),
		NotAfter:     time.Now().Add(validity),
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return keyPair{}, fmt.Errorf("making a certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return keyPair{}, fmt.Errorf("encoding a key: %w", err)
	}
	return keyPair{
		certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}),
		key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}, nil
}
