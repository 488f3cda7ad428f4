// Package role prints what a verb must be allowed to do.
package role

import (
	"io"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"
)

// AddFlag adds --print-rbac; what says of which part of the verb it is the role.
func AddFlag(cmd *cobra.Command, print *bool, what string) {
	cmd.Flags().BoolVar(print, "print-rbac", false, "Print the least role for "+what+", and do nothing else")
}

// Cluster is a ClusterRole of rules.
func Cluster(name string, rules []rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules:      rules,
	}
}

// Print writes roles as kubectl apply takes them. It asks no cluster.
func Print(w io.Writer, roles ...runtime.Object) error {
	yaml := &printers.YAMLPrinter{}
	for _, r := range roles {
		if err := yaml.PrintObj(r, w); err != nil {
			return err
		}
	}
	return nil
}
