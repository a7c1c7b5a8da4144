module heddle.dev/test/servers/crds

go 1.26.0

require (
	github.com/servicemeshinterface/smi-sdk-go v0.5.0
	sigs.k8s.io/gateway-api v1.6.1
)
