// Package pki writes the certificates, keys and kubeconfigs of a cluster in the
// layout of kubeadm (https://kubernetes.io/docs/setup/best-practices/certificates/).
package pki

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// Lifetimes as kubeadm gives them: ten years for authorities, one for the rest.
const (
	caLifetime   = 10 * 365 * 24 * time.Hour
	leafLifetime = 365 * 24 * time.Hour
)

// Authority names a certificate authority by its path below the PKI directory,
// without extension.
type Authority string

// The authorities of a kubeadm cluster.
const (
	ClusterCA    Authority = "ca"
	FrontProxyCA Authority = "front-proxy-ca"
	EtcdCA       Authority = "etcd/ca"
)

func (a Authority) commonName() string {
	switch a {
	case FrontProxyCA:
		return "front-proxy-ca"
	case EtcdCA:
		return "etcd-ca"
	default:
		return "kubernetes"
	}
}

// Leaf is a certificate to have. Name is its path below the PKI directory,
// without extension.
type Leaf struct {
	Name   string
	Issuer Authority
	Config certutil.Config
}

// Dir is a directory of certificates (.crt) and keys (.key).
type Dir string

// Cert is the path of the named certificate.
func (d Dir) Cert(name string) string { return filepath.Join(string(d), name+".crt") }

// Key is the path of the named private key.
func (d Dir) Key(name string) string { return filepath.Join(string(d), name+".key") }

// ServiceAccountPublicKey is the path of the key that verifies service-account tokens.
func (d Dir) ServiceAccountPublicKey() string { return filepath.Join(string(d), "sa.pub") }

// Ensure makes what is missing: the authorities, the service-account key pair
// and the leaves. What is there is kept, so that a restored cluster keeps its
// identity, unless a leaf lacks a name that it now must carry.
func (d Dir) Ensure(leaves []Leaf) error {
	for _, authority := range []Authority{ClusterCA, FrontProxyCA, EtcdCA} {
		if err := d.ensureAuthority(authority); err != nil {
			return fmt.Errorf("certificate authority %s: %w", authority, err)
		}
	}
	if err := d.ensureServiceAccountKeys(); err != nil {
		return fmt.Errorf("service-account keys: %w", err)
	}
	for _, leaf := range leaves {
		if err := d.ensureLeaf(leaf); err != nil {
			return fmt.Errorf("certificate %s: %w", leaf.Name, err)
		}
	}
	return nil
}

func (d Dir) ensureAuthority(authority Authority) error {
	name := string(authority)
	if exists(d.Cert(name)) && exists(d.Key(name)) {
		return nil
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	cert, err := selfSigned(authority.commonName(), key)
	if err != nil {
		return err
	}
	return d.write(name, cert, key)
}

func (d Dir) ensureServiceAccountKeys() error {
	if exists(d.Key("sa")) && exists(d.ServiceAccountPublicKey()) {
		return nil
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	if err := writeKey(d.Key("sa"), key); err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return os.WriteFile(d.ServiceAccountPublicKey(), encodePEM("PUBLIC KEY", public), 0o600)
}

func (d Dir) ensureLeaf(leaf Leaf) error {
	if d.covers(leaf) {
		return nil
	}
	cert, key, err := d.Issue(leaf.Issuer, leaf.Config)
	if err != nil {
		return err
	}
	return d.write(leaf.Name, cert, key)
}

// covers tells whether the leaf is on disk with all the names that it must carry.
func (d Dir) covers(leaf Leaf) bool {
	certs, err := certutil.CertsFromFile(d.Cert(leaf.Name))
	if err != nil || !exists(d.Key(leaf.Name)) {
		return false
	}
	for _, name := range leaf.Config.AltNames.DNSNames {
		if !slices.Contains(certs[0].DNSNames, name) {
			return false
		}
	}
	for _, ip := range leaf.Config.AltNames.IPs {
		if !slices.ContainsFunc(certs[0].IPAddresses, ip.Equal) {
			return false
		}
	}
	return true
}

// Issue signs a new certificate with the authority's key, without writing it.
func (d Dir) Issue(issuer Authority, config certutil.Config) (*x509.Certificate, crypto.Signer, error) {
	caCerts, err := certutil.CertsFromFile(d.Cert(string(issuer)))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the issuer: %w", err)
	}
	caKey, err := keyutil.PrivateKeyFromFile(d.Key(string(issuer)))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the issuer's key: %w", err)
	}
	signer, ok := caKey.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("the issuer's key of type %T cannot sign", caKey)
	}
	key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	cert, err := signed(config, key, caCerts[0], signer)
	return cert, key, err
}

func (d Dir) write(name string, cert *x509.Certificate, key crypto.Signer) error {
	if err := writeKey(d.Key(name), key); err != nil {
		return err
	}
	return certutil.WriteCert(d.Cert(name), encodePEM(certutil.CertificateBlockType, cert.Raw))
}

func writeKey(path string, key crypto.Signer) error {
	data, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return err
	}
	return keyutil.WriteKey(path, data)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// Names is a shorthand for the alternative names of a serving certificate.
func Names(dns []string, ips ...string) certutil.AltNames {
	names := certutil.AltNames{DNSNames: dns}
	for _, ip := range ips {
		names.IPs = append(names.IPs, net.ParseIP(ip))
	}
	return names
}
