"""Loss weightings, computed from losses, from products of the task gradients or from these themselves; no encoders, no Keras
models."""

from easytransfer_mtl.config.train_settings import WeightingSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.own_code import own_class
from easytransfer_mtl.weighting.aligned_mtl import AlignedMTL
from easytransfer_mtl.weighting.base import RunFacts, Signals, TaskWeighting
from easytransfer_mtl.weighting.cagrad import CAGrad
from easytransfer_mtl.weighting.conflict_free import ConFIG
from easytransfer_mtl.weighting.cr_mogm import CRMOGM
from easytransfer_mtl.weighting.db_mtl import DBMTL
from easytransfer_mtl.weighting.dtp import DTP
from easytransfer_mtl.weighting.dualproj import DualProj
from easytransfer_mtl.weighting.dwa import DWA
from easytransfer_mtl.weighting.elements import Combination, ElementWeighting
from easytransfer_mtl.weighting.equal import Equal
from easytransfer_mtl.weighting.excess_mtl import ExcessMTL
from easytransfer_mtl.weighting.fairgrad import FairGrad
from easytransfer_mtl.weighting.famo import FAMO
from easytransfer_mtl.weighting.fixed import Fixed
from easytransfer_mtl.weighting.gls import GLS
from easytransfer_mtl.weighting.graddrop import GradDrop
from easytransfer_mtl.weighting.gradnorm import GradNorm
from easytransfer_mtl.weighting.gradvac import GradVac
from easytransfer_mtl.weighting.imtl_g import IMTLG
from easytransfer_mtl.weighting.imtl_l import IMTLL
from easytransfer_mtl.weighting.krum import Krum
from easytransfer_mtl.weighting.mgda import MGDA
from easytransfer_mtl.weighting.moco import MoCo
from easytransfer_mtl.weighting.modo import MoDo
from easytransfer_mtl.weighting.nash import Nash
from easytransfer_mtl.weighting.pcgrad import PCGrad
from easytransfer_mtl.weighting.rlw import RLW
from easytransfer_mtl.weighting.sdmgrad import SDMGrad
from easytransfer_mtl.weighting.stch import STCH
from easytransfer_mtl.weighting.trimmed_mean import TrimmedMean
from easytransfer_mtl.weighting.uncertainty import Uncertainty
from easytransfer_mtl.weighting.upgrad import UPGrad
from easytransfer_mtl.weighting.uw_so import UWSO

__all__ = [
    "AlignedMTL",
    "CAGrad",
    "CRMOGM",
    "Combination",
    "ConFIG",
    "DBMTL",
    "DTP",
    "DWA",
    "DualProj",
    "ElementWeighting",
    "Equal",
    "ExcessMTL",
    "FAMO",
    "FairGrad",
    "Fixed",
    "GLS",
    "GradDrop",
    "GradNorm",
    "GradVac",
    "IMTLG",
    "IMTLL",
    "Krum",
    "METHODS",
    "MGDA",
    "MoCo",
    "MoDo",
    "Nash",
    "PCGrad",
    "RLW",
    "RunFacts",
    "SDMGrad",
    "STCH",
    "Signals",
    "TaskWeighting",
    "TrimmedMean",
    "UPGrad",
    "UWSO",
    "Uncertainty",
    "make_weighting",
]

METHODS: dict[str, type[TaskWeighting]] = {
    "equal": Equal,
    "fixed": Fixed,
    "uncertainty": Uncertainty,
    "gradnorm": GradNorm,
    "dwa": DWA,
    "dtp": DTP,
    "mgda": MGDA,
    "rlw": RLW,
    "imtl_l": IMTLL,
    "imtl_g": IMTLG,
    "pcgrad": PCGrad,
    "cagrad": CAGrad,
    "nash": Nash,
    "upgrad": UPGrad,
    "famo": FAMO,
    "aligned_mtl": AlignedMTL,
    "fairgrad": FairGrad,
    "stch": STCH,
    "gls": GLS,
    "uw_so": UWSO,
    "db_mtl": DBMTL,
    "config": ConFIG,
    "dualproj": DualProj,
    "gradvac": GradVac,
    "cr_mogm": CRMOGM,
    "krum": Krum,
    "graddrop": GradDrop,
    "trimmed_mean": TrimmedMean,
    "excess_mtl": ExcessMTL,
    "moco": MoCo,
    "modo": MoDo,
    "sdmgrad": SDMGrad,
}


def make_weighting(settings: WeightingSettings, run: RunFacts) -> TaskWeighting:
    """Builds the weighting that the settings name; in a strategy's scope, every replica has a copy of its state.

    Raises:
        UserError: an option is invalid; the method needs more than one task, or every task in every step.
    """
    name = settings.loss_weighting
    method = METHODS.get(name) or own_class(name, TaskWeighting, "loss_weighting")
    if run.num_tasks == 1 and not method.works_alone:
        raise UserError(f"loss_weighting {name} weighs tasks against each other; this run has only {run.task_names[0]}.")
    weighting = method.make(settings, run)
    if weighting.needs_joint_step and settings.step_mode != "joint":
        raise UserError(f"loss_weighting {name} needs every task in every step; set --step_mode=joint.")
    return weighting
