package drain

import (
	"fmt"

	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/latest"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/validation"
)

// SchedulerConfiguration reads a KubeSchedulerConfiguration; without data it is
// the scheduler's default. The error says what is wrong with the data.
func SchedulerConfiguration(data []byte) (*config.KubeSchedulerConfiguration, error) {
	if len(data) == 0 {
		return latest.Default()
	}
	object, gvk, err := scheme.Codecs.UniversalDecoder().Decode(data, nil, nil)
	if err != nil {
		return nil, err
	}
	configuration, ok := object.(*config.KubeSchedulerConfiguration)
	if !ok {
		return nil, fmt.Errorf("is a %s and not a KubeSchedulerConfiguration", gvk.Kind)
	}
	configuration.APIVersion = gvk.GroupVersion().String()
	if err := validation.ValidateKubeSchedulerConfiguration(configuration); err != nil {
		return nil, err
	}
	return configuration, nil
}
