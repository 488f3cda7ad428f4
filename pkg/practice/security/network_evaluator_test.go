package security

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
)

// TestPoliciesLetIn holds the evaluator against what the API's reference says.
func TestPoliciesLetIn(t *testing.T) {
	target := &cluster.Workload{
		Self: cluster.Ref{Kind: "Deployment", Namespace: "shop", Name: "web"},
		Template: &corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}}},
		},
	}
	pod := func(namespace string, set labels.Set) endpoint {
		return endpoint{namespace: namespace, namespaceLabels: labels.Set{corev1.LabelMetadataName: namespace}, labels: set}
	}
	http := edge{from: pod("shop", labels.Set{"app": "cart"}), to: target, port: intstr.FromInt32(8080)}
	for name, test := range map[string]struct {
		policies []string // specs
		edge     func(edge) edge
		want     bool
	}{
		"without a policy everything is let in":                   {want: true},
		"a policy without a rule lets nothing in":                 {policies: []string{`{podSelector: {}, policyTypes: [Ingress]}`}},
		"a policy that says no types is about ingress":            {policies: []string{`{podSelector: {}}`}},
		"a policy about egress alone isolates nobody for ingress": {policies: []string{`{podSelector: {}, policyTypes: [Egress]}`}, want: true},
		"a policy about other pods isolates nobody":               {policies: []string{`{podSelector: {matchLabels: {app: db}}}`}, want: true},
		"a rule of another policy is enough":                      {policies: []string{`{podSelector: {}}`, `{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: cart}}}]}]}`}, want: true},
		"a rule without peers lets everybody in":                  {policies: []string{`{podSelector: {}, ingress: [{ports: [{port: 8080}]}]}`}, edge: func(e edge) edge { e.from = anywhere(); return e }, want: true},
		"a pod selector alone means the policy's own namespace":   {policies: []string{`{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}`}, edge: func(e edge) edge { e.from = pod("other", labels.Set{"app": "cart"}); return e }},
		"both selectors of a peer must match":                     {policies: []string{`{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: other}}, podSelector: {matchLabels: {app: x}}}]}]}`}, edge: func(e edge) edge { e.from = pod("other", labels.Set{"app": "cart"}); return e }},
		"selectors of two peers are alternatives":                 {policies: []string{`{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: other}}}, {podSelector: {matchLabels: {app: x}}}]}]}`}, edge: func(e edge) edge { e.from = pod("other", labels.Set{"app": "cart"}); return e }, want: true},
		"no selector matches an address":                          {policies: []string{`{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}`}, edge: func(e edge) edge { e.from = anywhere(); return e }},
		"a block matches addresses within it":                     {policies: []string{`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}`}, edge: func(e edge) edge { e.from = endpoint{address: netip.MustParsePrefix("10.1.2.3/32")}; return e }, want: true},
		"not those that it excepts":                               {policies: []string{`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}]}`}, edge: func(e edge) edge { e.from = endpoint{address: netip.MustParsePrefix("10.1.2.3/32")}; return e }},
		"a block that is not everything is not anywhere":          {policies: []string{`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}`}, edge: func(e edge) edge { e.from = anywhere(); return e }},
		"a block matches no pod":                                  {policies: []string{`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}`}},
		"a port by number":                                        {policies: []string{`{podSelector: {}, ingress: [{ports: [{port: 8080}]}]}`}, want: true},
		"another port":                                            {policies: []string{`{podSelector: {}, ingress: [{ports: [{port: 80}]}]}`}},
		"a port by name is the pod's":                             {policies: []string{`{podSelector: {}, ingress: [{ports: [{port: http}]}]}`}, want: true},
		"a name that the pod does not have":                       {policies: []string{`{podSelector: {}, ingress: [{ports: [{port: https}]}]}`}},
		"a range of ports":                                        {policies: []string{`{podSelector: {}, ingress: [{ports: [{port: 8000, endPort: 9000}]}]}`}, want: true},
		"another protocol":                                        {policies: []string{`{podSelector: {}, ingress: [{ports: [{port: 8080, protocol: UDP}]}]}`}},
		"a protocol alone means all its ports":                    {policies: []string{`{podSelector: {}, ingress: [{ports: [{protocol: TCP}]}]}`}, want: true},
		"a rule on a port is not one on all":                      {policies: []string{`{podSelector: {}, ingress: [{ports: [{port: 8080}]}]}`}, edge: func(e edge) edge { e.port = intstr.IntOrString{}; return e }},
		"pods on their node's network are beyond policies": {policies: []string{`{podSelector: {}}`}, edge: func(e edge) edge {
			host := *target
			host.Template = target.Template.DeepCopy()
			host.Template.Spec.HostNetwork = true
			e.to = &host
			return e
		}, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			var policies []*networkingv1.NetworkPolicy
			for _, text := range test.policies {
				policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop"}}
				if err := yaml.UnmarshalStrict([]byte(text), &policy.Spec); err != nil {
					t.Fatal(err)
				}
				policies = append(policies, policy)
			}
			needed := http
			if test.edge != nil {
				needed = test.edge(needed)
			}
			if got := lets(policies, needed); got != test.want {
				t.Errorf("let in: %v, want %v", got, test.want)
			}
		})
	}
}

func TestAddressesAreFoundInSettings(t *testing.T) {
	a := addresses{"shop", map[string]bool{"cart": true, "db": true}}
	for text, want := range map[string]string{
		"http://cart.shop":                              "cart",
		"http://cart.shop/api?x=1":                      "cart",
		"cart.shop.svc:8080":                            "cart",
		"postgres://u@db.shop.svc.cluster.local/shop":   "db",
		"db-0.db.shop.svc:5432,db-1.db.shop.svc:5432":   "db",
		"--peers=cart.shop,db.shop":                     "cart db",
		"http://cart":                                   "",
		"cart.shopping":                                 "",
		"https://www.shop.example/cart.html":            "",
		"cart.other.svc.cluster.local, x.shop.cart.com": "",
	} {
		got := ""
		for i, name := range a.of([]string{text}) {
			if i > 0 {
				got += " "
			}
			got += name
		}
		if got != want {
			t.Errorf("%s: found %q, want %q", text, got, want)
		}
	}
}
