package pki

import (
	"crypto/x509"
	"fmt"
	"os"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// User is whom a kubeconfig authenticates as: the certificate's subject.
type User struct {
	Name   string
	Groups []string
}

// Target is where a kubeconfig points.
type Target struct {
	Context string // also the name of the cluster entry
	Server  string // https://host:port
}

// EnsureKubeconfig writes a kubeconfig with an embedded client certificate for
// user. An existing file keeps its certificate; only its server, which moves
// when a cluster is restored on other ports, is brought up to date.
func (d Dir) EnsureKubeconfig(path string, target Target, user User) error {
	auth, err := d.authInfo(path, user)
	if err != nil {
		return fmt.Errorf("kubeconfig of %s: %w", user.Name, err)
	}
	ca, err := os.ReadFile(d.Cert(string(ClusterCA)))
	if err != nil {
		return fmt.Errorf("reading the cluster's authority: %w", err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters[target.Context] = &clientcmdapi.Cluster{Server: target.Server, CertificateAuthorityData: ca}
	config.AuthInfos[user.Name] = auth
	config.Contexts[target.Context] = &clientcmdapi.Context{Cluster: target.Context, AuthInfo: user.Name}
	config.CurrentContext = target.Context
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("writing the kubeconfig of %s: %w", user.Name, err)
	}
	return nil
}

func (d Dir) authInfo(path string, user User) (*clientcmdapi.AuthInfo, error) {
	if existing, err := clientcmd.LoadFromFile(path); err == nil && existing.AuthInfos[user.Name] != nil {
		return existing.AuthInfos[user.Name], nil
	}
	cert, key, err := d.Issue(ClusterCA, certutil.Config{
		CommonName:   user.Name,
		Organization: user.Groups,
		Usages:       []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, err
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return nil, err
	}
	return &clientcmdapi.AuthInfo{
		ClientCertificateData: encodePEM(certutil.CertificateBlockType, cert.Raw),
		ClientKeyData:         keyPEM,
	}, nil
}
