package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	certutil "k8s.io/client-go/util/cert"
)

// newKey makes an ECDSA P-256 key: RSA ones take a second each on a small machine.
func newKey() (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generating a key: %w", err)
	}
	return key, nil
}

func selfSigned(commonName string, key crypto.Signer) (*x509.Certificate, error) {
	template, err := newTemplate(certutil.Config{CommonName: commonName}, caLifetime)
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.KeyUsage |= x509.KeyUsageCertSign
	return create(template, template, key, key)
}

func signed(config certutil.Config, key crypto.Signer, ca *x509.Certificate, caKey crypto.Signer) (*x509.Certificate, error) {
	template, err := newTemplate(config, leafLifetime)
	if err != nil {
		return nil, err
	}
	return create(template, ca, key, caKey)
}

func newTemplate(config certutil.Config, lifetime time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("choosing a serial number: %w", err)
	}
	// Backdated as kubeadm does, for machines whose clocks differ a little.
	now := time.Now().Add(-5 * time.Minute).UTC()
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: config.CommonName, Organization: config.Organization},
		DNSNames:              config.AltNames.DNSNames,
		IPAddresses:           config.AltNames.IPs,
		NotBefore:             now,
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:           config.Usages,
		BasicConstraintsValid: true,
	}, nil
}

func create(template, parent *x509.Certificate, key, parentKey crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return x509.ParseCertificate(der)
}

func encodePEM(blockType string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der})
}
