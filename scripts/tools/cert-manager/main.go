// cert-manager's controllers of self-signed certificates, and its metrics. Its own main package is another module,
// and brings the SDKs of several clouds.
package main

import (
	"context"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/cert-manager/cert-manager/pkg/controller"

	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: cert-manager NAMESPACE")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, stop, os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, stop func(), namespace string) error {
	factory, err := controller.NewContextFactory(ctx, controller.ContextOptions{Namespace: namespace})
	if err != nil {
		return err
	}
	shared, err := factory.Build()
	if err != nil {
		return err
	}
	for name, create := range controller.Known() {
		each, err := create(factory)
		if err != nil {
			return err
		}
		go func() {
			defer stop()
			if err := each.Run(1, ctx); err != nil {
				log.Printf("%s: %v", name, err)
			}
		}()
	}
	certificates := shared.SharedInformerFactory.Certmanager().V1().Certificates()
	shared.Metrics.SetupCertificateCollector(certificates.Lister())
	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	listener, err := net.Listen("tcp", ":9402")
	if err != nil {
		return err
	}
	server := shared.Metrics.NewServer(listener)
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	return server.Serve(listener)
}
