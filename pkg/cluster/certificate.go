package cluster

import (
	"crypto/x509"
	"encoding/pem"
	"time"

	"k8s.io/client-go/rest"
)

// Certificate is a certificate's public facts; never a key.
type Certificate struct {
	// Use says what the certificate is for, "API server's serving certificate".
	Use       string
	Subject   string
	NotBefore time.Time
	NotAfter  time.Time
}

// CertificateIn reads the first certificate of PEM data, which in a chain is
// the leaf; false when there is none.
func CertificateIn(use string, data []byte) (Certificate, bool) {
	all := CertificatesIn(use, data)
	if len(all) == 0 {
		return Certificate{}, false
	}
	return all[0], true
}

// CertificatesIn reads the certificates of PEM data, up to the first that does
// not parse.
func CertificatesIn(use string, data []byte) []Certificate {
	var all []Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		parsed, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			break
		}
		all = append(all, certificateOf(use, parsed))
	}
	return all
}

func certificateOf(use string, parsed *x509.Certificate) Certificate {
	return Certificate{Use: use, Subject: parsed.Subject.CommonName, NotBefore: parsed.NotBefore, NotAfter: parsed.NotAfter}
}

// connectionCertificates are the two ends of the connection just made: what
// the server showed in its handshake (behind a load balancer that ends TLS,
// the load balancer's), and what the kubeconfig showed in return.
func connectionCertificates(seen *observer, config *rest.Config) []Certificate {
	var found []Certificate
	if state := seen.first; state != nil && state.TLS != nil && len(state.TLS.PeerCertificates) > 0 {
		found = append(found, certificateOf("API server's serving certificate", state.TLS.PeerCertificates[0]))
	}
	if err := rest.LoadTLSFiles(config); err == nil {
		if client, ok := CertificateIn("kubeconfig's client certificate", config.CertData); ok {
			found = append(found, client)
		}
	}
	return found
}
