// The control plane of Kubernetes as one program, for the cluster in a box: the API server with its etcd, the controller
// manager, the scheduler and kubectl, from the modules that go.mod pins.
package main

import (
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
	_ "time/tzdata"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"

	"github.com/spf13/cobra"
)

const usage = `control-plane etcd DIR CLIENT-URL PEER-URL   until SIGTERM or SIGINT; nothing is synced to the disk
control-plane api-server | controller-manager | scheduler | kubectl  [their own flags]`

func main() {
	commands := map[string]func() *cobra.Command{
		"api-server":         apiserver.NewAPIServerCommand,
		"controller-manager": controllermanager.NewControllerManagerCommand,
		"scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
		"kubectl":            kubectl.NewDefaultKubectlCommand,
	}
	if len(os.Args) == 5 && os.Args[1] == "etcd" {
		if err := etcd(os.Args[2], os.Args[3], os.Args[4]); err != nil {
			fmt.Fprintln(os.Stderr, "etcd:", err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	name := os.Args[1]
	// The commands look at os.Args by themselves, kubectl for its plug-ins.
	os.Args = append([]string{name}, os.Args[2:]...)
	command := commands[name]()
	command.SetArgs(os.Args[1:])
	os.Exit(cli.Run(command))
}

func etcd(dir, client, peer string) error {
	config := embed.NewConfig()
	config.Dir = dir
	config.Name = "box"
	config.LogLevel = "warn"
	config.LogOutputs = []string{filepath.Join(filepath.Dir(dir), "etcd.log")}
	config.UnsafeNoFsync = true
	clientURL, err := url.Parse(client)
	if err != nil {
		return err
	}
	peerURL, err := url.Parse(peer)
	if err != nil {
		return err
	}
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{*clientURL}, []url.URL{*clientURL}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{*peerURL}, []url.URL{*peerURL}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	defer server.Close()
	select {
	case <-server.Server.ReadyNotify():
	case <-time.After(30 * time.Second):
		return fmt.Errorf("not ready after 30 s")
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-stop:
		return nil
	case err := <-server.Err():
		return err
	}
}
