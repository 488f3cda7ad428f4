package doctor

import (
	"io"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// printRBAC prints the role that the selected practices take, and no more. It
// asks no cluster.
func (o *Options) printRBAC(w io.Writer) error {
	role := &rbacv1.ClusterRole{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"},
		ObjectMeta: metav1.ObjectMeta{Name: "kubectl-prod-doctor"},
		Rules:      cluster.Rules(o.needs()),
	}
	return (&printers.YAMLPrinter{}).PrintObj(role, w)
}
