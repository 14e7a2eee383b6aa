from minikubelet.cli.main import main

main()
