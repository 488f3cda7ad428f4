//go:build e2e

package e2e

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// spec is a random pod spec for the pods of a workload.
func (w *world) spec(app string) corev1.PodSpec {
	d := w.dice("spec " + app)
	grace := int64(pick(d, 0, 1, 2))
	spec := corev1.PodSpec{
		NodeSelector:                  map[string]string{"world": w.name},
		TerminationGracePeriodSeconds: &grace,
		Tolerations:                   []corev1.Toleration{{Key: "world", Operator: corev1.TolerationOpExists}},
		Containers: []corev1.Container{{Name: "app", Image: "prod.test/web:1.0", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse(pick(d, "100m", "250m", "500m", "1", "1500m")), corev1.ResourceMemory: resource.MustParse(pick(d, "64Mi", "256Mi", "1Gi")),
		}}}},
	}
	if d.chance(30) {
		spec.Tolerations = append(spec.Tolerations, corev1.Toleration{Key: "dedicated", Operator: corev1.TolerationOpExists})
	}
	if d.chance(25) {
		spec.PriorityClassName = pick(d, "drain-low", "drain-high", "drain-polite")
	}
	if d.chance(15) {
		spec.Volumes = []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	}
	w.constrain(d, app, &spec)
	return spec
}

// constrain ties pods to nodes, to each other, or apart.
func (w *world) constrain(d dice, app string, spec *corev1.PodSpec) {
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
	switch d.IntN(10) {
	case 0:
		spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
			{LabelSelector: selector, TopologyKey: pick(d, corev1.LabelHostname, corev1.LabelTopologyZone)}}}}
	case 1:
		spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
			{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: []string{w.zone(0)}}}}}}}}
	case 2, 3:
		spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: pick(d, corev1.LabelHostname, corev1.LabelTopologyZone), WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: selector}}
	case 4:
		spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
			{LabelSelector: selector, TopologyKey: corev1.LabelTopologyZone}}}}
	case 5:
		spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: int32(8000 + d.IntN(2))}}
	}
}

func (w *world) makeWorkload(app string) {
	d := w.dice("workload " + app)
	labels := map[string]string{"app": app, "tier": pick(d, "front", "back")}
	meta := metav1.ObjectMeta{Name: app, Namespace: w.name, Labels: labels}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: w.spec(app)}
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
	replicas := int32(1 + d.IntN(4))
	kind := d.IntN(100)
	if w.machine == "" { // whose kubelet has neither the driver nor the disks
		replicas = w.attach(app, kind >= 60 && kind < 80, replicas, &template.Spec)
	}
	switch {
	case kind < 60:
		w.objects = append(w.objects, &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: selector, Template: template}})
	case kind < 80:
		w.objects = append(w.objects, &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Replicas: &replicas, Selector: selector, Template: template, VolumeClaimTemplates: w.claims(app),
			PodManagementPolicy: pick(d, appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement)}})
	case kind < 87:
		w.objects = append(w.objects, &appsv1.ReplicaSet{ObjectMeta: meta, Spec: appsv1.ReplicaSetSpec{Replicas: &replicas, Selector: selector, Template: template}})
	case kind < 92:
		template.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
		// KWOK ends pods that a Job owns at once; held by a ReplicaSet's name it would not be a Job.
		w.objects = append(w.objects, &batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{Parallelism: &replicas, Completions: &replicas, Template: template}})
	default:
		w.objects = append(w.objects, &corev1.Pod{ObjectMeta: meta, Spec: template.Spec})
		if w.machine == "" && d.chance(25) {
			w.finished = append(w.finished, app)
		}
	}
	if d.chance(60) {
		w.makeBudget(app, map[string]string{"app": app}, replicas)
	}
	if d.chance(8) {
		w.makeBudget(app+"-too", map[string]string{"tier": labels["tier"]}, replicas)
	}
	if w.machine == "" && d.chance(15) {
		w.unready = append(w.unready, app)
	}
}

// attach gives a workload storage or a device, as some have; a claim that its
// pods share leaves it one replica.
func (w *world) attach(app string, stateful bool, replicas int32, spec *corev1.PodSpec) int32 {
	d := w.dice("attach " + app)
	switch n := d.IntN(100); {
	case stateful && n < 40:
		w.addVolume(d, app, spec)
		return 1
	case stateful && n < 75:
		// by claims, below
	case n < 10:
		class := pick(d, provisioned, w.localClass())
		w.objects = append(w.objects, &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: app, Namespace: w.name}, Spec: claimSpec(class)})
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: app}}})
		return min(replicas, 2)
	case n < 22:
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: "cache", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{
			VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{Spec: claimSpec(pick(d, provisioned, w.localClass()))}}}})
	case n < 32:
		w.objects = append(w.objects, &resourcev1.ResourceClaimTemplate{ObjectMeta: metav1.ObjectMeta{Name: app, Namespace: w.name}, Spec: resourcev1.ResourceClaimTemplateSpec{
			Spec: resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{{Name: "one", Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: deviceDriver}}}}}}})
		spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "device", ResourceClaimTemplateName: &app}}
		spec.Containers[0].Resources.Claims = []corev1.ResourceClaim{{Name: "device"}}
	}
	return replicas
}

// claims are those that a StatefulSet makes for each pod; most have none.
func (w *world) claims(app string) []corev1.PersistentVolumeClaim {
	if n := w.dice("attach " + app).IntN(100); w.machine != "" || n < 40 || n >= 75 {
		return nil
	}
	class := pick(w.dice("claims "+app), provisioned, provisioned, w.localClass())
	return []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}, Spec: claimSpec(class)}}
}

func claimSpec(class string) corev1.PersistentVolumeClaimSpec {
	return corev1.PersistentVolumeClaimSpec{
		StorageClassName: &class, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, Resources: corev1.VolumeResourceRequirements{Requests: oneGi()},
	}
}

// addVolume ties a workload to a zone, or to one node.
func (w *world) addVolume(d dice, app string, spec *corev1.PodSpec) {
	on := corev1.NodeSelectorRequirement{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: []string{w.zone(0)}}
	if d.chance(30) {
		on.Key, on.Values = corev1.LabelHostname, []string{pick(d, w.nodes...).Name}
	}
	volume := newVolume(w.name+"-"+app, "", on)
	volume.Spec.ClaimRef = &corev1.ObjectReference{Namespace: w.name, Name: app}
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: app, Namespace: w.name}, Spec: claimSpec("")}
	claim.Spec.VolumeName = volume.Name
	w.objects = append(w.objects, volume, claim)
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: app}}})
}

func (w *world) makeBudget(name string, labels map[string]string, replicas int32) {
	d := w.dice("budget " + name)
	spec := policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}}
	number := intstr.FromInt32(d.Int32N(replicas + 1))
	share := intstr.FromString(strconv.Itoa(pick(d, 0, 25, 50, 75, 100)) + "%")
	value := pick(d, number, share, intstr.FromInt32(1))
	if d.chance(50) {
		spec.MinAvailable = &value
	} else {
		spec.MaxUnavailable = &value
	}
	if d.chance(40) {
		policy := pick(d, policyv1.AlwaysAllow, policyv1.IfHealthyBudget)
		spec.UnhealthyPodEvictionPolicy = &policy
	}
	if d.chance(4) {
		spec.Selector = &metav1.LabelSelector{} // every pod of the namespace
	}
	switch n := d.IntN(100); {
	case n < 6:
		w.frozen[name] = stale
	case n < 8:
		w.frozen[name] = crowded
	}
	w.objects = append(w.objects, &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.name}, Spec: spec})
}

func (w *world) makeDaemonSet() {
	spec := w.spec("agent")
	spec.Affinity, spec.TopologySpreadConstraints, spec.Containers[0].Ports = nil, nil, nil
	labels := map[string]string{"app": "agent"}
	w.objects = append(w.objects, &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "agent", Namespace: w.name}, Spec: appsv1.DaemonSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}}})
}

// makeRivals makes large pods of which some find no node before the drain, and
// compete for what it frees.
func (w *world) makeRivals() {
	d := w.dice("rivals")
	spec := w.spec("rival")
	spec.Affinity, spec.TopologySpreadConstraints, spec.Containers[0].Ports = nil, nil, nil
	spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse(pick(d, "1500m", "3", "6"))
	replicas := int32(1 + d.IntN(3))
	labels := map[string]string{"app": "rival"}
	w.objects = append(w.objects, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "rival", Namespace: w.name}, Spec: appsv1.DeploymentSpec{Replicas: &replicas,
		Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}}})
}

// makeMirror makes what a kubelet shows of a static pod of its node.
func (w *world) makeMirror() {
	spec := w.spec("mirror")
	spec.Affinity, spec.TopologySpreadConstraints, spec.Containers[0].Ports, spec.Volumes = nil, nil, nil, nil
	spec.NodeName = w.nodes[len(w.nodes)-1].Name
	w.objects = append(w.objects, &corev1.Pod{Spec: spec, ObjectMeta: metav1.ObjectMeta{
		Name: "mirror", Namespace: w.name, Labels: map[string]string{"app": "mirror"}, Annotations: map[string]string{corev1.MirrorPodAnnotationKey: "made"}}})
}
